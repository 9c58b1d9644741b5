"""How a network is trained, beyond optimizer and schedule: what trainers offer besides."""
