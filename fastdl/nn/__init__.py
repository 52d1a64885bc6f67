"""Layers, with PyTorch's names: modules hold parameters, ``nn.functional`` holds the functions they call."""
