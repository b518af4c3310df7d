"""Why a model answers what it answers: contributions of the raw input columns, checked against the model itself."""
