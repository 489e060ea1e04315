"""What people do by hand: who, where from, what, on what, why and when. One table, which every such act writes."""
