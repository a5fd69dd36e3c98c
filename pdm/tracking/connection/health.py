"""Asks MLflow whether it answers."""

from mlflow.exceptions import MlflowException

from pdm.errors import Unavailable
from pdm.tracking.connection import address, faults


def check_connection() -> str:
    """Ask for one experiment, and return the address for display. A database that does not exist
    yet is not made.

    Raises:
        Unavailable: MLflow does not answer, or refuses.
    """
    shown = address.shown_address()
    file = address.database()
    if file is not None and not file.exists():
        return f"{shown} (made by the first run)"
    try:
        address.client().search_experiments(max_results=1)
    except (MlflowException, OSError) as error:
        raise Unavailable(
            f"MLflow at {shown} cannot be used ({faults.reason(error)}); start it, or unset "
            "MLFLOW_TRACKING_URI"
        ) from error
    return shown
