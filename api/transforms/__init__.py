"""What a transform is, and the transforms."""
