"""Problems to traces."""
