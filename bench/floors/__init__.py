"""What makes the weights of the noise floors: samples out of a corpus, and the layers that learn."""
