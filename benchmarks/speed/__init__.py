"""How fast: hot paths beside their textbook forms, costs as work grows, several processes, a million latents."""
