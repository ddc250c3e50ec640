"""How matching behaves as processes, queues, load and troubles grow: the real services in virtual time.

Time is the simulation's: storage takes 5 ms a call, the processor nothing, so the figures are the design's and the same
on every machine. HTTP and Event Grid functions run in some processes, the timer function in one more, as the platform
places them."""
