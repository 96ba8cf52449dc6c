Console.WriteLine("rawdiffusion");
