package amqp10

// View returns a view of the value with that format code whose other bytes are data, which has
// been looked at already: by who checks a whole message and takes it apart later. Unlike
// [ValueOf] it looks at nothing.
func View(code byte, data []byte) Value { return Value{data: data, offset: 1, code: code} }
