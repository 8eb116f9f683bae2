"""The routes of the service, one file for each thing that can be asked about."""
