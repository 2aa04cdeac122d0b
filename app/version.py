"""The version of this package: packaging, `bleepstore version`, the Server's metrics and health all read it here."""

__version__ = "0.1.0"
