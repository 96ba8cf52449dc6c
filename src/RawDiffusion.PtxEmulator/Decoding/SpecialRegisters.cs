namespace RawDiffusion.PtxEmulator.Decoding;

/// <summary>The names of special registers. Source: PTX ISA, chapter "Special Registers".</summary>
internal static class SpecialRegisters
{
    public static bool TryParse(string name, string component, out SpecialRegister register)
    {
        int dimension = component switch { "" => -1, "x" => 0, "y" => 1, "z" => 2, _ => 3 };
        SpecialRegister? found = (name, dimension) switch
        {
            ("%tid", >= 0 and < 3) => SpecialRegister.TidX + (byte)dimension,
            ("%ntid", >= 0 and < 3) => SpecialRegister.NtidX + (byte)dimension,
            ("%ctaid", >= 0 and < 3) => SpecialRegister.CtaidX + (byte)dimension,
            ("%nctaid", >= 0 and < 3) => SpecialRegister.NctaidX + (byte)dimension,
            ("%laneid", -1) => SpecialRegister.LaneId,
            ("%warpid", -1) => SpecialRegister.WarpId,
            ("%nwarpid", -1) => SpecialRegister.NwarpId,
            ("%smid", -1) => SpecialRegister.SmId,
            ("%nsmid", -1) => SpecialRegister.NsmId,
            ("%gridid", -1) => SpecialRegister.GridId,
            ("%dynamic_smem_size", -1) => SpecialRegister.DynamicSharedSize,
            ("%total_smem_size", -1) => SpecialRegister.TotalSharedSize,
            ("%lanemask_eq", -1) => SpecialRegister.LaneMaskEq,
            ("%lanemask_le", -1) => SpecialRegister.LaneMaskLe,
            ("%lanemask_lt", -1) => SpecialRegister.LaneMaskLt,
            ("%lanemask_ge", -1) => SpecialRegister.LaneMaskGe,
            ("%lanemask_gt", -1) => SpecialRegister.LaneMaskGt,
            ("%clock", -1) => SpecialRegister.Clock,
            ("%clock_hi", -1) => SpecialRegister.ClockHi,
            ("%clock64", -1) => SpecialRegister.Clock64,
            ("%globaltimer", -1) => SpecialRegister.GlobalTimer,
            ("%globaltimer_lo", -1) => SpecialRegister.GlobalTimerLo,
            ("%globaltimer_hi", -1) => SpecialRegister.GlobalTimerHi,
            _ => null,
        };
        register = found.GetValueOrDefault();
        return found is not null;
    }

    /// <summary>Whether it changes while a block runs, so that each read is an instruction of its own.</summary>
    public static bool Changes(SpecialRegister register) => register > SpecialRegister.LaneMaskGt;

    public static int Bytes(SpecialRegister register) => register is SpecialRegister.Clock64 or SpecialRegister.GlobalTimer ? 8 : 4;
}
