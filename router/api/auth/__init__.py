"""Authentication: access-key signatures and Entra ID tokens, and the limit on requests per caller."""
