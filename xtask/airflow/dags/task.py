"""A DAG whose task calls its server, as the "API" operator does: by Airflow's own HTTP hook, with the connection of the deployment."""

import os
import socket
from datetime import datetime

try:
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.python import PythonOperator

RESOLVE = socket.getaddrinfo


def here(host, port, *rest, **more):
    """Takes the name of a server to where the test listens: there is no cluster that knows it."""
    if host.endswith(".svc.cluster.local"):
        host, port = "127.0.0.1", int(os.environ["SERVER_PORT"])
    return RESOLVE(host, port, *rest, **more)


def invoke():
    from airflow.providers.http.hooks.http import HttpHook

    socket.getaddrinfo = here
    return HttpHook(method="POST", http_conn_id="service_task_main").run(endpoint="", data="{}").text


with DAG(
    "service_task_main",
    description="Release: dbt-server-service-task-main",
    tags=["api_operator_dbt"],
    schedule=None,
    start_date=datetime(2026, 1, 1),
):
    PythonOperator(task_id="invoke", python_callable=invoke)
