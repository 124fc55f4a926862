"""A Perch client in Python (README.md beside it)."""
from .content import Item, MessageId
from .client import Client, NotRunning, Refused
from .device import Device, Online, Stopped, Unreadable
from .storage import InboxRow, Insert, InUse, Kind, Mark, OutboxRow, Storage

__all__ = ["Client", "Device", "InUse", "InboxRow", "Insert", "Item", "Kind", "Mark", "MessageId", "NotRunning", "Online", "OutboxRow", "Refused", "Stopped",
           "Storage", "Unreadable"]
