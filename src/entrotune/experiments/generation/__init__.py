"""The parts of `entrotune generate`: what is asked, who answers, what is kept, what is chosen."""
