"""What score tables say: agreement of models, and whether entropy predicts correctness. Arrays in, numbers out."""
