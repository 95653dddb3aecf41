"""A compiled metric as other packages' objects; each module needs its package."""
