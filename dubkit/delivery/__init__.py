"""What goes to a finishing house: patches with the lists that conform them, and markers."""

from dubkit.delivery.markers import read_verdicts, write_markers
from dubkit.delivery.new_edit import LISTS, NewEdit, compare_edit
from dubkit.delivery.patches import Delivered, DeliveryRequest, check_delivery_request, deliver

__all__ = [
    "LISTS",
    "Delivered",
    "DeliveryRequest",
    "NewEdit",
    "check_delivery_request",
    "compare_edit",
    "deliver",
    "read_verdicts",
    "write_markers",
]
