using RawDiffusion.PtxEmulator.Decoding;

namespace RawDiffusion.PtxEmulator.Counters;

/// <summary>Floating-point operations of an instruction, per lane that executes it.</summary>
internal static class FlopCount
{
    public static int PerLane(in Instruction instruction)
    {
        int pair = instruction.Type is PtxType.F16x2 or PtxType.BF16x2 ? 2 : 1;
        switch (instruction.Opcode)
        {
            case Opcode.Fma:
            case Opcode.Mad when instruction.Type.IsFloat():
                return 2 * pair;
            case Opcode.Add or Opcode.Sub or Opcode.Mul or Opcode.Div or Opcode.Min or Opcode.Max when instruction.Type.IsFloat():
            case Opcode.Rcp or Opcode.Sqrt or Opcode.Rsqrt or Opcode.Sin or Opcode.Cos or Opcode.Lg2 or Opcode.Ex2 or Opcode.Tanh:
            case Opcode.Atom when instruction.Type.IsFloat():
                return pair;
            case Opcode.Mma:
                // 2 m n k of the warp over its 32 lanes.
                return (MmaShape)instruction.Mode switch
                {
                    MmaShape.M16N8K4 => 2 * 16 * 8 * 4 / 32,
                    MmaShape.M16N8K8 => 2 * 16 * 8 * 8 / 32,
                    MmaShape.M16N8K16 => 2 * 16 * 8 * 16 / 32,
                    MmaShape.M16N8K32 => 2 * 16 * 8 * 32 / 32,
                    _ => 2 * 8 * 8 * 4 / 32,
                };
            default:
                return 0;
        }
    }
}
