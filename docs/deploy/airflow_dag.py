"""kinfolk under Airflow 3: one run a day, in order, for the day that has just ended (UTC).

Copy it into the folder of DAGs. It asks kinfolk by its command line alone, so that Airflow's Python and kinfolk's need
not be the same. Days that Airflow missed are caught up one after the other, oldest first.

What an exit code does: 0, published or nothing new, is a success; 75, another job holds the workspace, is tried again;
3, a gate failed and the snapshot before stays served, and 2 and 1 fail at once: repeating would change nothing.
"""

import json
import os
import subprocess
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

KINFOLK = os.environ.get("KINFOLK_COMMAND", "/opt/kinfolk/bin/kinfolk")
RECIPE = os.environ.get("KINFOLK_RECIPE", "/etc/kinfolk/recipe.yaml")
WORKSPACE = os.environ.get("KINFOLK_WORKSPACE", "/var/lib/kinfolk/workspace")
BUSY = 75


def nightly(as_of: str) -> dict[str, Any]:
    """Run one night, and return what a dashboard wants of its report."""
    words = [KINFOLK, "nightly", RECIPE, "--as-of", as_of, "--workspace", WORKSPACE, "--json"]
    ran = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)  # stderr goes to the log of the task
    if ran.returncode == BUSY:
        raise AirflowException("another job holds the workspace")
    if ran.returncode != 0:
        reason = json.loads(ran.stdout)["reason"] if ran.stdout.strip() else "see the log"
        raise AirflowFailException(f"exit code {ran.returncode}: {reason}")
    report = json.loads(ran.stdout)
    return {name: report[name] for name in ("status", "as_of", "snapshot", "events", "customers", "alerts", "warnings")}


with DAG(
    dag_id="kinfolk_nightly",
    description="Yesterday's events to a published snapshot",
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="UTC"),
    start_date=datetime(2025, 1, 1),
    catchup=True,
    max_active_runs=1,
    default_args={
        "owner": "kinfolk",
        "depends_on_past": True,
        "retries": 18,
        "retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=6),
    },
    tags=["kinfolk"],
) as dag:
    # the interval begins on the day whose events are taken, and ends at two in the next night
    task(task_id="nightly")(nightly)(as_of="{{ data_interval_start | ds }}")
