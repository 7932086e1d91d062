"""DAGs as users of the "API" operator have them: a tag, and the name of the release that they talk to in the description."""

from datetime import datetime

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

TAG = "api_operator_dbt"


def dag(name, release, tags=(TAG,)):
    return DAG(name, description=f"Release: {release}", tags=list(tags), schedule=None, start_date=datetime(2026, 1, 1))


# Two of one release, which stand at both ends of the list: who reads its first page alone misses the second one.
daily = dag("daily_test_project_main", "dbt-server-test-project-main")
weekly = dag("weekly_test_project_main", "dbt-server-test-project-main")

# Others that are easily taken for those.
longer = dag("test_project_main_2", "dbt-server-test-project-main-2")
other = dag("test_project_feature", "dbt-server-test-project-feature")
untagged = dag("untagged_test_project_main", "dbt-server-test-project-main", tags=())

# More than one page, which holds 100 at most.
crowd = [dag(f"dbt_crowd_{number:03}", f"dbt-server-crowd-{number:03}") for number in range(105)]
for each in crowd:
    globals()[each.dag_id] = each
