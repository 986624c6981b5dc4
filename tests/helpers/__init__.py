"""What tests share; helpers own their clean-up."""
