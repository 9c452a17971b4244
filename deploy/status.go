package deploy

// StatusSchema identifies the JSON form of Status.
const StatusSchema = "klpforge.status/v1"

// Status is what is loaded, what a transition waits for, and what is loaded at boot.
type Status struct {
	Schema      string      `json:"schema"`
	Release     string      `json:"release"`
	Livepatches []Livepatch `json:"livepatches"` // in the order in which they were loaded
	// Transition is the one under way, nil for none.
	Transition *Transition  `json:"transition"`
	Boot       []BootModule `json:"boot"` // files of the modules directory for this kernel
	// BootProblem says why it is not known which of them failed at boot.
	BootProblem string `json:"boot_problem,omitempty"`
}

// Transition is a transition under way.
type Transition struct {
	Module string `json:"module"`
	Phase  Phase  `json:"state"`
	Tasks  int    `json:"tasks"`
	Left   int    `json:"left"` // have not switched
	// Hidden says that the states of tasks could not be read, which needs root.
	Hidden   bool   `json:"hidden,omitempty"`
	Blocking []Task `json:"blocking"`
}

// Status reads the state of the machine. Without root the tasks of a
// transition stay unknown.
func (m *Machine) Status(places Places) (*Status, error) {
	sys, err := m.System()
	if err != nil {
		return nil, err
	}
	status := &Status{Schema: StatusSchema, Release: sys.Release, Livepatches: sys.Livepatches}
	if status.Livepatches == nil {
		status.Livepatches = []Livepatch{}
	}
	if status.Boot, status.BootProblem, err = m.installed(places, sys.Release); err != nil {
		return nil, err
	}
	status.Transition, err = m.transition(sys)
	if err != nil {
		return nil, err
	}
	return status, nil
}

// Transition is the transition under way, with the tasks that it waits for; nil for none.
func (m *Machine) Transition() (*Transition, error) {
	sys, err := m.System()
	if err != nil {
		return nil, err
	}
	return m.transition(sys)
}

func (m *Machine) transition(sys *System) (*Transition, error) {
	live := sys.transition()
	if live == nil {
		return nil, nil
	}
	c, err := m.census(sys, live, true)
	if err != nil {
		return nil, err
	}
	t := &Transition{Module: live.Name, Phase: live.Phase, Tasks: c.total, Left: c.left, Hidden: c.hidden,
		Blocking: c.blocking}
	if t.Blocking == nil {
		t.Blocking = []Task{}
	}
	return t, nil
}
