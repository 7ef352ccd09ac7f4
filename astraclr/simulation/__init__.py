"""Simulated light curves: twelve classes, ZTF's cadence and noise, transients, and a comparison with real surveys."""
