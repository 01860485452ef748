"""How good: what each way to train gives, by which eyes, and what a third stage adds."""
