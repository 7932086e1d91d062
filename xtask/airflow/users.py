"""Makes users in the database of an Airflow that keeps them there: `users.py ROLE:NAME:PASSWORD...`.

`airflow users create` makes one at a time and takes several seconds for each.
"""

import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

with get_application_builder() as builder:
    security = builder.sm
    security.sync_roles()
    for user in sys.argv[1:]:
        role, name, password = user.split(":", 2)
        found = security.find_role(role)
        if not found or not security.add_user(name, name, name, f"{name}@example.org", found, password):
            sys.exit(f"cannot make the user {name} with the role {role}")
