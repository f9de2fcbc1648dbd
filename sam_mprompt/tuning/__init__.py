"""Parameter-efficient tuning: the prompt module and every peft method."""
