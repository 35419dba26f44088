package codec

import "time"

// Rebuild gives what a process that has never seen loc makes of it.
func Rebuild(loc *time.Location) (*time.Location, error) {
	def, err := define(loc, readZone)
	if err != nil {
		return nil, err
	}
	return buildZone([]byte(def))
}
