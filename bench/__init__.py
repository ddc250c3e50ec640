"""Measurements. Every figure stands beside a floor of the same run, for machines differ and so do their moods."""
