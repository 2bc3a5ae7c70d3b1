// Package query is IoT Hub's query language: the text of a query or of a bare
// condition to a syntax tree, and that tree over rows. It knows neither twins nor
// a registry: a row is whatever has members (see [Row]), so that none is turned
// into JSON only to be looked at.
//
//	SELECT [TOP n] * | item, …  FROM devices | devices.modules | devices.jobs
//	[WHERE condition] [GROUP BY path, …]
//
// Source: IoT Hub developer guide, "IoT Hub query language". Where it is silent:
//
//   - The order of precedence is that of SQL: * / %, then + -, comparisons with IN
//     and NIN, NOT, AND, OR. Comparisons do not chain.
//   - Numbers and strings have an order; true, false and null only equality. The
//     result of a comparison is false unless both sides are of the same primitive
//     type, also that of !=.
//   - NOT, AND and OR of what is no boolean are undefined, unless the other side decides.
//   - Arithmetic is on numbers; anything else, a division by zero included, is undefined.
//   - STARTSWITH, ENDSWITH, CONTAINS, IS_NULL, IS_BOOL, IS_NUMBER, IS_STRING, IS_ARRAY,
//     IS_OBJECT and ARRAY_LENGTH are there besides the documented IS_DEFINED.
//   - A path without an alias is named after its last member, an aggregate $1, $2, ….
//
// Left out, and refused by name: JOIN, ORDER BY, DISTINCT, LIKE, HAVING, subqueries.
package query
