"""What can be known of a trained classifier: how right, how sure, of which images, and why."""
