"""SavedModels that serve exactly what was trained."""
