"""Long work: conversions in processes of their own, with events, webhooks and schedules."""
