"""Exchange with other tools: ONNX inputs, export and runtime, and weights from Keras."""
