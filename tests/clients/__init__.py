"""Programs and libraries that people use, against the real server."""

# What the service calls itself; the resolver that the tests bring (resolver/sitecustomize.py) knows it.
DOMAIN = "s3.bleepstore.test"
