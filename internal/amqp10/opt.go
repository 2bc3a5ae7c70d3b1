package amqp10

// Opt is a field that may be null. The zero Opt is null.
type Opt[T any] struct {
	Value T // the zero T when null
	Valid bool
}

// Some returns an Opt that is v.
func Some[T any](v T) Opt[T] { return Opt[T]{v, true} }

// Or returns what o has, or byDefault when it is null.
func (o Opt[T]) Or(byDefault T) T {
	if o.Valid {
		return o.Value
	}
	return byDefault
}
