"""From arguments to machine code: containers, forms, guards; knows no transform."""
