"""The development host: runs a function app in this process the way the Azure Functions host would."""
