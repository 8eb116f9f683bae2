"""Floor 4: the encoder, its objectives, the training run and its evaluation."""
