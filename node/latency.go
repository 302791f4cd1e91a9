package node

func infoLatencyStats(n *Node, s *infoScene) {}
