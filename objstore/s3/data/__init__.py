"""The data of objects: the calls of the object layer that read and change them, and the headers stored with them."""
