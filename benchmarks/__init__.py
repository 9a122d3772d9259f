"""Well-known libraries beside the channels that make the same promise. See README.md."""
