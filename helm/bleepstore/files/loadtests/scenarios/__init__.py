"""Locust's users, one class for each kind of load; loadtests/locustfile.py gathers them."""
