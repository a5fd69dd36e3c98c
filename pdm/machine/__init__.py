"""What a process runs on: its limits, device, threads and memory, and a Ray cluster."""
