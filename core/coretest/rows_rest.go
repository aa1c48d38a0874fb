package coretest

func trustRows() []row   { return nil }
func wireRows() []row    { return nil }
func appRows() []row     { return nil }
func accessRows() []row  { return nil }
func drainRows() []row   { return nil }
func journalRows() []row { return nil }
