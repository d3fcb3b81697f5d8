"""Ground floor: runs things and keeps what they gave."""
