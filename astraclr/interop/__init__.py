"""Exchange with other tools: ONNX inputs, export and runtime, and weights as Keras holds them."""
