"""What the `Obedient` brain can do, one skill a module. None of it uses a clock, chance or the network."""
